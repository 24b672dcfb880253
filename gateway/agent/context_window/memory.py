"""What one turn remembers of its conversation: the messages it can show, and notes on the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.agent.context_window import notes
from gateway.agent.context_window.fit import Messages
from gateway.domain.conversations.branch import MAX_BRANCH_ROWS, Branch, BranchSummary
from gateway.domain.messages import Message

# A branch of more stored messages is summarised though it may fit: what lies beyond MOST_ROWS is not read.
SUMMARIZE_FROM_ROWS = MAX_BRANCH_ROWS * 4 // 5
ROWS_AFTER_SUMMARY = MAX_BRANCH_ROWS * 2 // 5


def _leading_system_messages(messages: Messages) -> int:
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
    summarized_count: int = 0
    notes_message_count: int = 0
    force_store: bool = False
    can_summarize: bool = True

    def __post_init__(self) -> None:
        self.notes = self.branch.summary

    def build_prompt(self, system: str | None, *question: Message) -> Messages:
        """The messages that a turn starts with.

        What a conversation begins with in the system's name belongs to the system prompt: not every vendor
        takes a second one further down.
        """
        system_count = _leading_system_messages(self.branch.messages)
        texts = [system, *(m.text for m in self.branch.messages[:system_count])]
        if system_count:
            self.branch = replace(
                self.branch,
                messages=self.branch.messages[system_count:],
                summary_message_ids=self.branch.summary_message_ids[system_count:],
            )
        if not self.branch.messages:
            system_count = _leading_system_messages(question)
            texts += [m.text for m in question[:system_count]]
            question = question[system_count:]
        system = "\n\n".join(filter(None, texts))
        head = (Message("system", system),) if system else ()
        notes_messages = notes.as_messages(self.branch.summary)
        self.notes_message_count = len(notes_messages)
        return (*head, *notes_messages, *self.branch.messages, *question)

    @classmethod
    def from_client_messages(cls, messages: Messages) -> Memory:
        """A memory of a caller's own messages: system prompt, history, and all from the last question on.

        What does not fit is left out without notes: nobody stores them, so each call would make them again.
        """
        first = 1 if messages and messages[0].role == "system" else 0
        question_at = max(
            (at for at, m in enumerate(messages) if m.role == "user"), default=len(messages) - 1
        )
        history = messages[first : max(first, question_at)]
        return cls(Branch(history, None, (None,) * (len(history) + 1)), can_summarize=False)

    @property
    def too_many_rows(self) -> bool:
        """Whether the branch is near the number of messages that are read at all."""
        return self.branch.row_count >= SUMMARIZE_FROM_ROWS and not (
            self.summarized_count or self.force_store
        )

    def split(self, messages: Messages) -> tuple[Messages, Messages, Messages]:
        """(system prompt, what notes do not cover of the history, question and tool rounds)."""
        head = messages[:1] if messages and messages[0].role == "system" else ()
        first = len(head) + self.notes_message_count
        question_at = first + len(self.branch.messages)
        return head, messages[first + self.summarized_count : question_at], messages[question_at:]

    def summarize_first(self, count: int, text: str | None) -> None:
        """Let notes (None: nothing) stand for `count` more messages."""
        self.summarized_count += count
        self.notes = text

    @property
    def summary(self) -> BranchSummary | None:
        """What is to be stored: the notes that this turn made, with the message they go up to."""
        mark = self.branch.summary_message_ids[self.summarized_count]
        if not (self.summarized_count or self.force_store) or not self.notes or mark is None:
            return None
        return BranchSummary(mark, self.notes)
