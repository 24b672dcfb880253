// Starts Swagger UI if the build contains it; otherwise the page keeps its static text.
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
