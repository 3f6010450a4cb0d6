"""Names of SGX wherever they stand in an object: unknown ones, those of Node Feature Discovery, and known ones in a wrong place.

What a container asks for is told by `astray`, which knows the container.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from donjon.admission.codes import ELSEWHERE, UNLABELLED
from donjon.admission.limits import MAX_LIST_LENGTH
from donjon.admission.manifests.fragments import without_anchor
from donjon.admission.manifests.workloads import PodTemplate, Thing, dotted_path
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import Json, at
from donjon.kube.names import ANNOTATION_QUOTE_PROVIDER
from donjon.kube.patch import escape
from donjon.kube.spelling import misspelt
from donjon.kube.vocabulary import CHOOSE_NODES, TABLE, Field, is_nfd, is_ours, without_quota

_OTHERS = frozenset({"apiVersion", "args", "command", "data", "finalizers", "image", "stringData", "value"})
"""Fields whose words are no names: of groups, of images, of what programs are given."""

_FIELDS = {name: each.places for name, each in TABLE.items() if each.places}
_SELECTORS = frozenset({"nodeSelector"})
_CHOOSING_WITHOUT = frozenset({"NotIn", "DoesNotExist"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """One word that may be a name, and where."""

    word: str
    place: str  # of it, as a JSON pointer into the document
    parent: str  # the key of the object, or the field, that it stands in
    is_key: bool


def mentions(thing: Thing, templates: tuple[PodTemplate, ...], excluded_places: Iterable[str]) -> Iterator[Reason]:
    """What is to be said of names; `excluded_places` are those of objects whose keys others speak of."""
    for word in _words(thing, frozenset(excluded_places)):
        finding = _unknown(thing, word) or _choice(thing, word) or _unread(thing, word, templates)
        if finding is not None:
            yield Reason(finding=finding, place=word.place)
    yield from _elsewhere(thing, templates)


def _unknown(thing: Thing, word: _Word) -> Finding | None:
    return misspelt(_subject(thing, word.place), f"names {word.word}", word.word) if is_ours(word.word) else None


def _unread(thing: Thing, word: _Word, templates: tuple[PodTemplate, ...]) -> Finding | None:
    """What is to be said of the annotation in an object of Kubernetes' own kind where `_elsewhere` does not look."""
    if not (thing.is_builtin and word.is_key and word.word == ANNOTATION_QUOTE_PROVIDER):
        return None
    readable = tuple(f"{place}/metadata/" for place in (thing.path, *(each.template for each in templates)))
    is_patch = not templates and "/template/metadata/" in word.place
    return None if word.place.startswith(readable) or is_patch else wrong_place(_subject(thing, word.place), word.word)


def _words(thing: Thing, excluded_places: frozenset[str]) -> Iterator[_Word]:
    """Every key and every word of an object, in its order."""
    stack: list[tuple[str, str, Json]] = [(thing.path, "", thing.content)]
    while stack:
        place, parent, value = stack.pop()
        if isinstance(value, dict):
            inner = [(key, f"{place}/{escape(key)}", each) for key, each in value.items() if key not in _OTHERS]
            if place not in excluded_places:
                yield from (_Word(word=_name(key), place=here, parent=parent, is_key=True) for key, here, _ in inner)
            stack += [(here, key, each) for key, here, each in reversed(inner)]
        elif isinstance(value, list):
            stack += [(f"{place}/{index}", parent, each) for index, each in reversed([*enumerate(value)])]
        elif isinstance(value, str) and not _without(thing, place):
            yield _Word(word=value, place=place, parent=parent, is_key=False)


def _name(key: str) -> str:
    return without_quota(without_anchor(key))


def _without(thing: Thing, place: str) -> bool:
    """Whether the word is the key of an expression that chooses nodes which lack it."""
    return place.endswith("/key") and _sibling(thing, place, "operator") in _CHOOSING_WITHOUT


def _sibling(thing: Thing, place: str, key: str) -> Json:
    here: Json = thing.content
    for step in place.removeprefix(thing.path).split("/")[1:-1]:
        here = here[int(step)] if isinstance(here, list) else at(here, step.replace("~1", "/").replace("~0", "~"))
    return at(here, key)


def _choice(thing: Thing, word: _Word) -> Finding | None:
    """What is to be said where nodes are chosen by a name that no node has for a label."""
    if not (word.is_key and word.parent in _SELECTORS) and "/nodeAffinity/" not in word.place:
        return None
    if is_nfd(word.word):
        return Finding.warning(
            UNLABELLED,
            _subject(thing, word.place),
            f"chooses nodes by {word.word}",
            "that is a label of Node Feature Discovery: where that does not run, no node has it",
            CHOOSE_NODES,
        )
    return _value(thing, word) if Field.NODE_LABEL in _places(word.word) else wrong_place(_subject(thing, word.place), word.word)


def _value(thing: Thing, word: _Word) -> Finding | None:
    """What is to be said of a selector with a value that no node has for that label; a hole or a wildcard is no value."""
    term, value = TABLE.get(word.word), _sibling(thing, word.place, word.word) if word.is_key else None
    if term is None or not term.values or not isinstance(value, str) or not value.replace("-", "").isalnum():
        return None
    return (
        None
        if value in term.values
        else Finding.warning(
            UNLABELLED,
            _subject(thing, word.place),
            f'chooses nodes by {word.word}: "{value:.63}"',
            "no node has that value, so the pod would stay Pending for ever",
            f"expected {' or '.join(sorted(term.values))}",
        )
    )


def _places(word: str) -> frozenset[Field]:
    term = TABLE.get(word)
    return term.places if term is not None and term.places else frozenset(Field)


def wrong_place(subject: str, name: str) -> Finding:
    """The finding about a name of the table that means nothing where it stands."""
    places = " or ".join(str(place) for place in Field if place in _places(name))
    return Finding.warning(
        ELSEWHERE,
        subject,
        f"has {name}, which means nothing there",
        f"it belongs {places}",
        "write it there, or leave it out",
    )


def _elsewhere(thing: Thing, templates: tuple[PodTemplate, ...]) -> Iterator[Reason]:
    """Names among the labels and annotations of an object and of its templates, where they mean nothing."""
    if thing.kind == "Node" or thing.rules or (thing.foreign and not templates):
        return  # A controller may hand on what stands on its own objects.
    of_pods = {each.template: each.pod for each in templates}
    for template, whole in {thing.path: thing.content, **of_pods}.items():
        for field in ("annotations", "labels"):
            names = at(whole, "metadata", field)
            present = names.keys() & TABLE.keys() if isinstance(names, dict) else set()
            for name in sorted(present & _unfit(thing, templates, field, is_pod=template in of_pods)):
                place = f"{template}/metadata/{field}/{escape(name)}"
                yield Reason(finding=wrong_place(_subject(thing, place), name), place=place)


def _unfit(thing: Thing, templates: tuple[PodTemplate, ...], field: str, *, is_pod: bool) -> frozenset[str]:
    """The names that are out of place in that field of an object, or of a pod."""
    if field == "annotations":
        return frozenset(name for name, places in _FIELDS.items() if not _annotates(places, name, templates, is_pod=is_pod))
    own = Field.NAMESPACE_LABEL if thing.kind == "Namespace" else Field.POD_LABEL
    return frozenset(name for name, places in _FIELDS.items() if not places & {own, Field.NODE_LABEL})


def _annotates(places: frozenset[Field], name: str, templates: tuple[PodTemplate, ...], *, is_pod: bool) -> bool:
    """Whether the annotation means something: on a pod, or beside pods that have it as well, as kustomize writes it."""
    if Field.ANNOTATION not in places:
        return False
    if name != ANNOTATION_QUOTE_PROVIDER or is_pod:
        return True
    return any(at(each.pod, "metadata", "annotations", name) is not None for each in templates)


def _subject(thing: Thing, place: str) -> str:
    return dotted_path(place.removeprefix(thing.path))[-MAX_LIST_LENGTH:]
