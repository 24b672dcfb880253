"""The tool `web_search`: search engines, and merging of their results."""
