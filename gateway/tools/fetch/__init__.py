"""The tool `fetch`: URL and address checks, the HTTP client and text extraction."""
