"""The last section of the page: the method and its limits."""

from __future__ import annotations

from bench import answers, shapes
from bench.machine import Cores
from bench.measure import Results
from bench.plan import Plan

_TEXT = """## Method

- The measured server {where}. Load generator, upstream, PostgreSQL and Valkey run on the other core or
  cores, which were at most {busiest:.0%} busy in any cell of LiteLLM or the gateway.
- {rounds} rounds of {seconds:g} s per cell after a warm-up; the targets alternate within each row. Closed
  loop: each connection sends its next request when the last answer is complete. Every answer is checked:
  status, complete text, end marker.
- Each prompt is new, about 50 words, so that no cache answers. Answers have {tokens} tokens ({characters}
  characters), as one body or as {tokens} chunks and a usage chunk.
- The upstream writes each chunk separately, as fast as the socket accepts them; a busy server then finds
  several in one read. A server that merges them into one event or one write saves work that a real, slower
  model would cause: the row of the slow streams shows the cost of chunks that arrive one by one.
- LiteLLM: its own environment, the command `litellm` with a plain configuration (OpenAI-compatible models,
  a master key), no database, one worker, warnings only, its price list read from disk.
- The gateway: `gateway serve --workers 1`, warnings only, OpenAI-compatible models. For every request it
  runs the graph, verifies the API key, and writes the usage to PostgreSQL with a durable commit before the
  answer ends; LiteLLM stores nothing without a database.
- The key belongs to an account without limits on tokens or money, for which nothing is reserved; for a
  limited account a `/v1` answer costs one more statement. Requests per minute are counted in any case.
- The persisted turn also writes question and answer, and continues each conversation for {turns} turns.
- Guardrails on: the injection classifier checks every prompt before any output is sent. It passes these
  prompts: how often it flags a harmless one is a question of quality, not of speed."""


def render(results: Results, plan: Plan, cores: Cores) -> str:
    """Render the section in Markdown."""
    busiest = max(
        (
            sample.helpers_busy
            for cell, samples in results.samples.items()
            if cell.target != "upstream"
            for sample in samples
        ),
        default=0.0,
    )
    return _TEXT.format(
        where="shares its only core with everything else" if cores.shared else "has one core to itself",
        busiest=busiest,
        rounds=plan.rounds,
        seconds=plan.seconds,
        tokens=answers.TOKENS,
        characters=len(answers.ANSWER),
        turns=shapes.TURNS_PER_CONVERSATION,
    )
