"""What is said to the API server of a pod that asks for SGX: the answer to each of its two calls.

The first, while the pod is being made, looks into its images, pins them, and refuses. The second sees the pod as it is to be in
the end, in namespaces that are held to it: there an image counts by its digest alone, since whoever changed it after us put there
what nobody looked at.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from donjon.adapters import clock
from donjon.adapters.logs import say
from donjon.admission.images import (
    MAX_IMAGE,
    MAX_IMAGES,
    MAX_PLACES,
    PlacedImage,
    asks_for_enclaves,
    images_as_written,
    images_of,
    pin,
)
from donjon.admission.policies.enclaves import HOLD_PATH, OPERATIONS, PIN_PATH, SUBRESOURCES
from donjon.admission.review import API_VERSION, KIND, ReviewRequest, parse
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.findings import Finding
from donjon.formats.json import JsonObject
from donjon.services.admission.enclaves.inspection import PROOF_WITHIN, Inspections, LookedInto, ResolvedName
from donjon.services.admission.enclaves.judging import PodJudgement, SeenImage, hold_to_pins, judge_pod, name_of_image
from donjon.services.admission.enclaves.rulebook import NamespaceRules, Rulebook
from donjon.services.admission.webhook import MAX_NAME, LogBound

LOG = logging.getLogger(__name__)

WITHIN = {PIN_PATH: 7.0, HOLD_PATH: 3.0}
"""Seconds that an answer may take: less than the API server waits, so that it comes in words of ours."""
_FORBIDDEN = 403


class EnclaveGate:
    """Answers the calls about pods that ask for SGX, for one replica."""

    def __init__(self, rulebook: Rulebook, inspections: Inspections, report: Callable[[str, Sequence[Finding]], None]) -> None:
        """`report` hears of each pod what became of it, and by which findings."""
        self._rulebook, self._inspections, self._report = rulebook, inspections, report
        self._lines = LogBound(clock.monotonic)

    async def answer(self, path: str, body: bytes) -> bytes:
        """The AdmissionReview that answers one.

        Raises `Malformed` DJ140 to DJ143 for what is no such review, `Unavailable` DJ380 while the policies are not read yet.
        """
        request = parse(body, OPERATIONS, SUBRESOURCES)
        if self._rulebook.missing:
            raise Unavailable("DJ380", f"policies: not read yet: {', '.join(self._rulebook.missing)}")
        images = images_of(request.pod)
        if not asks_for_enclaves(images):
            return _encode(request, {})
        rules = await self._rulebook.rules(request.namespace)
        others = {(each.container, each.image) for each in images_of(request.old_pod)}
        places = [each for each in images if (each.container, each.image) not in others]
        if len(places) > MAX_PLACES:
            return _too_many(request, len(places), rules)
        looks = [] if rules.says_nothing else await self._look(places, request, _patience(path, rules))
        judged = judge_pod(rules, [await self._with_proofs(rules, each, request) for each in looks])
        if path == HOLD_PATH and rules.enforces:
            judged = hold_to_pins(judged)
        return self._decided(path, request, judged)

    async def _look(self, places: Sequence[PlacedImage], request: ReviewRequest, within: float) -> list[SeenImage]:
        """What each image holds; those of one name are asked for once, all at the same time."""
        names = dict.fromkeys(each.image for each in places)
        questions = [self._look_at(image, request, within, number) for number, image in enumerate(names)]
        looks = dict(zip(names, await asyncio.gather(*questions), strict=True))
        return [SeenImage(place=each, look=looks[each.image]) for each in places]

    async def _look_at(self, image: str, request: ReviewRequest, within: float, number: int) -> LookedInto | DonjonError:
        try:
            if number >= MAX_IMAGES or len(image) > MAX_IMAGE:
                raise Malformed("DJ381", f"image: more than {MAX_IMAGES} of a pod, or a name of more than {MAX_IMAGE} characters")
            return await self._inspections.look(image, request.namespace, within=within, share=not request.is_dry_run)
        except DonjonError as error:
            return error

    async def _with_proofs(self, rules: NamespaceRules, image: SeenImage, request: ReviewRequest) -> SeenImage:
        """The image, with why keys that policies name have not signed it."""
        if isinstance(image.look, DonjonError):
            return image
        name = name_of_image(image.place.image)
        keys = [(trust.name, key) for trust in rules.trusts if trust.covers(name) for key in trust.keys_for(name)]
        owner = await self._name_by_owner(image, image.look, request) if keys else image.look.name
        answers = {(policy, key.name): await self._inspections.proof(image.place.image, owner, key.key) for policy, key in keys}
        return replace(image, unproved={each: error for each, error in answers.items() if error is not None})

    async def _name_by_owner(self, image: SeenImage, look: LookedInto, request: ReviewRequest) -> ResolvedName:
        """What its owner signed: where we pinned one image of an index, that index.

        Whoever made the pod may have written another name there, which counts only where it stands for the same image.
        """
        before = images_as_written(request.pod).get(image.place.container, "")
        with suppress(DonjonError):
            if before and before != image.place.image:
                other = await self._inspections.look(before, request.namespace, within=PROOF_WITHIN, share=False)
                return other.name if other.name.digest == look.name.digest else look.name
        return look.name

    def _decided(self, path: str, request: ReviewRequest, judged: PodJudgement) -> bytes:
        verdict = judged.verdict
        self._report("admitted" if verdict.admits else "refused", verdict.findings)
        if not verdict.admits:
            self._log(request, judged)
            return _encode(request, {"status": {"code": _FORBIDDEN, "message": judged.refusal}}, admits=False)
        if path == HOLD_PATH:
            return _encode(request, {})
        patch = [each.as_dict() for each in pin(request.pod, judged.pins, judged.annotation)]
        coded = base64.b64encode(json.dumps(patch).encode()).decode()
        return _encode(request, {"warnings": [*judged.warnings], "patchType": "JSONPatch", "patch": coded})

    def _log(self, request: ReviewRequest, judged: PodJudgement) -> None:
        if self._lines.may_write():
            pod = f"{request.namespace[:MAX_NAME]}/{request.name[:MAX_NAME]}"
            say(LOG, "a pod is refused by its enclaves", level=logging.WARNING, pod=pod, uid=request.uid, why=judged.refusal)


def _too_many(request: ReviewRequest, count: int, rules: NamespaceRules) -> bytes:
    """The answer about a pod of so many places that judging them all would keep others waiting."""
    message = f"pod: {count} containers and image volumes, looked at are {MAX_PLACES} [DJ381]"
    if rules.enforces:
        return _encode(request, {"status": {"code": _FORBIDDEN, "message": message}}, admits=False)
    return _encode(request, {"warnings": [message]})


def _patience(path: str, rules: NamespaceRules) -> float:
    return WITHIN[path] if rules.enforces else WITHIN[HOLD_PATH]


def _encode(request: ReviewRequest, more: JsonObject, *, admits: bool = True) -> bytes:
    response: JsonObject = {"uid": request.uid, "allowed": admits, **more}
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response}).encode()
