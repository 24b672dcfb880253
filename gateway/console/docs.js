// Shows the API's description with Swagger UI, where the build has it; otherwise the page keeps its words.
if (typeof SwaggerUIBundle !== "undefined") {
  SwaggerUIBundle({
    url: document.currentScript.dataset.description,
    dom_id: "#reference",
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
}
