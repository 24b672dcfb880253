"""The LangGraph state machine that every chat passes."""
