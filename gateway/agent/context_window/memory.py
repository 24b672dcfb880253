"""A conversation's messages in one turn, and the notes that replace older ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.agent.context_window import notes
from gateway.agent.context_window.fit import Messages
from gateway.domain.conversations.branch import MAX_BRANCH_ROWS, Branch, BranchSummary
from gateway.domain.messages import Message

# A longer branch is summarized even if it fits, because rows beyond MAX_BRANCH_ROWS are not read.
SUMMARIZE_FROM_ROWS = MAX_BRANCH_ROWS * 4 // 5
ROWS_AFTER_SUMMARY = MAX_BRANCH_ROWS * 2 // 5


def _leading_system_messages(messages: Messages) -> int:
    """Number of system messages before the first other message."""
    return next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))


@dataclass(slots=True)
class Memory:
    """The branch before the question, and the notes that replace its beginning.

    `notes` cover the first `summarized_count` messages of the branch and everything before it. The messages
    of the state begin with those of `build_prompt`: `notes_message_count` of them show the notes.
    `force_store` is set when notes must be stored even though they cover no more messages.
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

        Leading system messages of the conversation join the system prompt: not every vendor accepts two of
        them.
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
        """A memory for a client's own messages, which cannot be summarized.

        What does not fit is dropped without notes: nothing stores them, so each call would create them again.
        """
        first = 1 if messages and messages[0].role == "system" else 0
        question_at = max(
            (at for at, m in enumerate(messages) if m.role == "user"), default=len(messages) - 1
        )
        history = messages[first : max(first, question_at)]
        return cls(Branch(history, None, (None,) * (len(history) + 1)), can_summarize=False)

    @property
    def too_many_rows(self) -> bool:
        """Whether the branch approaches the number of messages that are read at all."""
        return self.branch.row_count >= SUMMARIZE_FROM_ROWS and not (
            self.summarized_count or self.force_store
        )

    def split(self, messages: Messages) -> tuple[Messages, Messages, Messages]:
        """Split into system prompt, history without notes, and question with tool rounds."""
        head = messages[:1] if messages and messages[0].role == "system" else ()
        first = len(head) + self.notes_message_count
        question_at = first + len(self.branch.messages)
        return head, messages[first + self.summarized_count : question_at], messages[question_at:]

    def summarize_first(self, count: int, text: str | None) -> None:
        """Replace the next `count` messages of the history by `text` (None: by nothing)."""
        self.summarized_count += count
        self.notes = text

    @property
    def summary(self) -> BranchSummary | None:
        """The notes of this turn to store, with the last message they cover."""
        mark = self.branch.summary_message_ids[self.summarized_count]
        if not (self.summarized_count or self.force_store) or not self.notes or mark is None:
            return None
        return BranchSummary(mark, self.notes)
