"""What one turn remembers of its conversation: the messages it can show, and notes on the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.agent.remembering import notes
from gateway.agent.remembering.fitting import Messages
from gateway.domain.ledger import MOST_ROWS, Branch, Summary
from gateway.domain.messages import Message

# A branch of more stored messages is summarised though it may fit: what lies beyond MOST_ROWS is not read.
CROWDED_ROWS = MOST_ROWS * 4 // 5
KEPT_ROWS = MOST_ROWS * 2 // 5


def _leading(messages: Messages) -> int:
    """How many messages there are before the first that is not the system's."""
    return next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))


@dataclass(slots=True)
class Memory:
    """The branch before a question, and how much of it notes stand for by now.

    `before` is how many messages of notes stand before the history in the state's messages; `moved` that the
    notes are to be stored further on in any case. `notes` cover the first `covered` messages of the branch
    and all that came before it; there are none
    unless it `summarises`. The state's messages are always those of `prompt`, then tool rounds.
    """

    branch: Branch = field(default_factory=Branch)
    notes: str | None = None
    covered: int = 0
    before: int = 0
    moved: bool = False
    summarises: bool = True

    def __post_init__(self) -> None:
        self.notes = self.branch.summary

    def prompt(self, system: str | None, *question: Message) -> Messages:
        """The messages that a turn starts with.

        What a conversation begins with in the system's name belongs to the system prompt: not every vendor
        takes a second one further down.
        """
        first = _leading(self.branch.messages)
        texts = [system, *(m.text for m in self.branch.messages[:first])]
        if first:
            self.branch = replace(
                self.branch, messages=self.branch.messages[first:], marks=self.branch.marks[first:]
            )
        if not self.branch.messages:
            first = _leading(question)
            texts += [m.text for m in question[:first]]
            question = question[first:]
        system = "\n\n".join(filter(None, texts))
        head = (Message("system", system),) if system else ()
        before = notes.shown(self.branch.summary)
        self.before = len(before)
        return (*head, *before, *self.branch.messages, *question)

    @classmethod
    def of(cls, messages: Messages) -> Memory:
        """A memory of a caller's own messages: system prompt, history, and all from the last question on.

        What does not fit is left out without notes: nobody stores them, so each call would make them again.
        """
        first = 1 if messages and messages[0].role == "system" else 0
        asked = max((at for at, m in enumerate(messages) if m.role == "user"), default=len(messages) - 1)
        history = messages[first : max(first, asked)]
        return cls(Branch(history, None, (None,) * (len(history) + 1)), summarises=False)

    @property
    def crowded(self) -> bool:
        """Whether the branch is near the number of messages that are read at all."""
        return self.branch.rows >= CROWDED_ROWS and not (self.covered or self.moved)

    def parts(self, messages: Messages) -> tuple[Messages, Messages, Messages]:
        """(system prompt, what notes do not cover of the history, question and tool rounds)."""
        head = messages[:1] if messages and messages[0].role == "system" else ()
        first = len(head) + self.before
        question_at = first + len(self.branch.messages)
        return head, messages[first + self.covered : question_at], messages[question_at:]

    def cover(self, count: int, text: str | None) -> None:
        """Let notes (None: nothing) stand for `count` more messages."""
        self.covered += count
        self.notes = text

    @property
    def summary(self) -> Summary | None:
        """What is to be stored: the notes that this turn made, with the message they go up to."""
        mark = self.branch.marks[self.covered]
        if not (self.covered or self.moved) or not self.notes or mark is None:
            return None
        return Summary(mark, self.notes)
