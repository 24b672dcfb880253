"""The page's last part: how the figures came about, and what they do not say."""

from __future__ import annotations

from bench import answers, shapes
from bench.machine import Cores
from bench.measure import Results
from bench.plan import Plan

_TEXT = """## How

- The server under test {where}; load generator, upstream, PostgreSQL and Valkey run on the other core or
  cores, which were busy at most {busiest:.0%} of the time in any cell of LiteLLM or the gateway.
- {rounds} rounds of {seconds:g} s a cell, the contenders in turns within each row, after a warm-up. Closed
  loop: each connection sends its next request when the last answer is complete. Every answer is checked:
  status, whole text, end marker.
- Each prompt is new, about 50 words, so that no cache answers. Answers are {tokens} tokens ({characters}
  characters), as one body or as {tokens} chunks and a usage chunk.
- The upstream writes each chunk by itself, as fast as the socket takes them; a busy server then finds several
  in one read. Whoever joins them into one event or one write saves work that a real, slower model would
  cause: the row of the slow streams shows the price of chunks that come one by one.
- LiteLLM: its own environment, the command `litellm` with a plain configuration (OpenAI-compatible models,
  a master key), no database, one worker, warnings only, its price list read from disk.
- The gateway: `gateway serve --workers 1`, warnings only, OpenAI-compatible models. On every request the
  graph runs, the API key is checked and the usage is written to PostgreSQL with a durable commit before the
  answer ends; LiteLLM keeps no record without a database.
- Its key belongs to an account without limits of tokens or money, which has nothing to reserve; a limited
  account's `/v1` answer costs one more statement. Requests a minute are counted for it all the same.
- The persisted turn also writes question and answer, and goes on with each conversation for {turns} turns.
- Guardrails on: the injection classifier reads every prompt before anything of the answer is shown. The
  prompts are ones that it lets pass: how often it refuses a harmless one is a question of quality, not of
  speed."""


def render(results: Results, plan: Plan, cores: Cores) -> str:
    """The section in Markdown."""
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
        where="shares its only core with everything else" if cores.shared else "is alone on one core",
        busiest=busiest,
        rounds=plan.rounds,
        seconds=plan.seconds,
        tokens=answers.TOKENS,
        characters=len(answers.ANSWER),
        turns=shapes.TURNS_A_CONVERSATION,
    )
