"""LLM Gateway: one OpenAI-compatible API in front of many model providers."""

import os

# onnxruntime's wheel sends telemetry to Microsoft and stores a device id in the home directory. It reads this
# variable at import, so it is set before any other module can import it. Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
