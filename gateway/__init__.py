"""LLM Gateway."""

import os

# onnxruntime's wheel reports to Microsoft: a device id in the home directory, and events about this machine.
# It reads this variable when it is imported, so it is set before any module of ours can import it. Child
# processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
