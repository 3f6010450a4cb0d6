"""The comments of a policy's text, and where in the tree each belongs, so that printing a policy loses none."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from donjon.policy.syntax import Policy, Rule, Section

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\r\n]|\\["\\])*"|(?P<comment>//[^\r\n]*)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of the text, as character offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment with its slashes, and where it begins."""

    start: int
    text: str


def comments(text: str) -> tuple[Comment, ...]:
    """All comments of a text that the grammar accepts, in order."""
    matches = (match for match in _STRING_OR_COMMENT.finditer(text) if match["comment"] is not None)
    return tuple(Comment(start=match.start(), text=match["comment"].rstrip()) for match in matches)


@dataclass(slots=True)
class _Supply:
    """The comments not yet placed, handed out in order."""

    text: str
    comments: tuple[Comment, ...]
    position: int = 0

    def before(self, offset: int) -> tuple[str, ...]:
        """All that begin before the offset."""
        end = bisect_left(self.comments, offset, key=lambda comment: comment.start)
        preceding = self.comments[self.position : end]
        self.position = max(end, self.position)
        return tuple(comment.text for comment in preceding)

    def behind(self, offset: int) -> str | None:
        """The one that follows the offset on the same line, with nothing but blanks between."""
        if self.position == len(self.comments):
            return None
        comment = self.comments[self.position]
        between = self.text[offset : comment.start]
        if between.strip(" \t"):
            return None
        self.position += 1
        return comment.text


def with_comments(policy: Policy, text: str, *, start: int, sections: Sequence[Span], rules: Sequence[Sequence[Span]]) -> Policy:
    """The policy with each comment at what follows it; one inside a rule goes above it, one behind a rule stays behind."""
    supply = _Supply(text, comments(text))
    above = supply.before(start)
    placed_sections = tuple(
        _section(section, supply, span, inner) for section, span, inner in zip(policy.sections, sections, rules, strict=True)
    )
    return replace(policy, comments=above, sections=placed_sections, closing=supply.before(len(text) + 1))


def _section(section: Section, supply: _Supply, span: Span, rules: Sequence[Span]) -> Section:
    above = supply.before(span.start)
    placed_rules = tuple(_rules(section.rules, supply, rules))
    return replace(section, comments=above, rules=placed_rules, closing=supply.before(span.end))


def _rules(rules: Sequence[Rule], supply: _Supply, spans: Sequence[Span]) -> Iterator[Rule]:
    for rule, span in zip(rules, spans, strict=True):
        yield replace(rule, comments=supply.before(span.end), remark=supply.behind(span.end))
