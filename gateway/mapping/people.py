"""Works out which pupil of the portal is which in the city's journal.

Pure. An equal id that both systems own, unique on both sides, becomes a link; everybody else waits for a person with
candidates, their evidence and a score. Nobody is linked by name, and no score links. What a person refused is not
offered again until either side says something new of itself.

Source: city-journal.md §7.5 (natural keys), S2, S23 (namesakes, null names).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gateway.domain.city import CityPupil
from gateway.domain.reasons import (
    AMBIGUOUS_LINK,
    LINK_LOST,
    LINK_REJECTED,
    NO_CANDIDATE,
    NOT_LINKED,
    PERSON_ID_NAME_MISMATCH,
)
from gateway.domain.records import Person
from gateway.mapping.correlate import Candidate, Correlation, NewLink
from gateway.mapping.likeness import MOST_NEAR_COUNT, compare, find_near, fingerprint, names_differ, same, score_of
from gateway.mapping.normalise import class_key, name_key, person_id_key

Overlap = Callable[[str, int], tuple[int, int] | None]
"""(Local ref, city pupil id) → how many of the person's groups the city has the pupil in, and of how many."""


def _says_nothing(_ref: str, _city_id: int) -> None:
    """Groups are not looked at."""


def correlate_people(
    local: Iterable[Person],
    city: Iterable[CityPupil],
    linked: Mapping[str, int],
    *,
    by_machine: Collection[str] = (),
    rejected: Mapping[tuple[str, int], bytes] | None = None,
    overlap_of: Overlap = _says_nothing,
) -> Correlation:
    """Link pupils by the city's person id; those without wait with candidates by name.

    Args:
        local: All people of the portal; teachers are passed over. Of a part of them a namesake could look unique.
        city: All pupils of the school in the city.
        linked: Links that stand already: local ref → city pupil id; never changed here. One whose city profile is no
            longer among the school's waits, with whoever may be the same child under another number.
        by_machine: Refs among them that no person has decided: where name or person id contradict by now, the account may
            have been given to another child, and the link waits for a person though it stands.
        rejected: Pairs that a person refused, with their fingerprint then; the machine never links one.
        overlap_of: What is known of common groups; asked for candidates only.
    """
    pupils = {person.ref: person for person in local if person.role == "pupil"}
    return _People(pupils, tuple(city), linked, by_machine, rejected or {}, overlap_of).correlate()


class _People:
    def __init__(
        self,
        pupils: Mapping[str, Person],
        city: Sequence[CityPupil],
        linked: Mapping[str, int],
        by_machine: Collection[str],
        rejected: Mapping[tuple[str, int], bytes],
        overlap_of: Overlap,
    ) -> None:
        self._pupils = pupils
        self._linked = linked
        self._by_machine = by_machine
        self._rejected = rejected
        self._overlap_of = overlap_of
        self._city = {pupil.id: pupil for pupil in city}
        self._holders = {city_id: ref for ref, city_id in linked.items()}
        self._id_counts = Counter(key for one in pupils.values() if (key := person_id_key(one.person_id)))
        self._by_person_id: dict[str, list[CityPupil]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[CityPupil]] = defaultdict(list)
        for pupil in sorted(city, key=lambda one: one.id):
            if (key := person_id_key(pupil.person_id)) is not None:
                self._by_person_id[key].append(pupil)
            if (name := name_key(pupil.last_name, pupil.first_name)) is not None:
                self._by_name[name].append(pupil)
        self._names = sorted(self._by_name)
        for key, same_id in self._by_person_id.items():
            # One child may have a closed profile beside the present one, after a transfer within the school.
            self._by_person_id[key] = [one for one in same_id if one.is_active] or same_id

    def correlate(self) -> Correlation:
        links: list[NewLink] = []
        candidates: list[Candidate] = []
        waiting: dict[str, str] = {}
        unproven: list[Person] = []
        for ref in sorted(self._pupils):
            person = self._pupils[ref]
            if ref in self._linked:
                there = self._city.get(self._linked[ref])
                if there is None:
                    unproven.append(person)
                elif ref in self._by_machine and _contradicts(person, there):
                    waiting[ref] = PERSON_ID_NAME_MISMATCH
                    candidates.append(self._candidate(person, there, PERSON_ID_NAME_MISMATCH))
                continue
            same_id = self._by_person_id.get(person_id_key(person.person_id) or "", [])
            if not same_id:
                unproven.append(person)
            elif (reason := self._why_not(person, same_id)) is None:
                evidence = compare(person, same_id[0])
                links.append(NewLink(local_ref=ref, city_id=same_id[0].id, how="custom_field", evidence=evidence))
            else:
                waiting[ref] = reason
                candidates += self._offer(person, same_id, reason)
        # Only now is it known who is taken, so that a namesake without an id is never offered somebody's profile as free.
        holders = self._holders | {link.city_id: link.local_ref for link in links}
        for person in unproven:
            found, reason = self._look_for(person, holders)
            waiting[person.ref] = reason
            candidates += self._offer(person, found, reason)
        return Correlation(links=tuple(links), candidates=tuple(candidates), waiting=waiting)

    def _why_not(self, person: Person, same_id: Sequence[CityPupil]) -> str | None:
        """Say why an equal person id is no link, or None when it is one."""
        if len(same_id) > 1 or self._id_counts[person_id_key(person.person_id) or ""] > 1:
            return AMBIGUOUS_LINK
        if self._holders.get(same_id[0].id, person.ref) != person.ref:
            return AMBIGUOUS_LINK
        if (person.ref, same_id[0].id) in self._rejected:
            return LINK_REJECTED
        return PERSON_ID_NAME_MISMATCH if names_differ(person, same_id[0]) else None

    def _look_for(self, person: Person, holders: Mapping[int, str]) -> tuple[list[CityPupil], str]:
        """Return who may be the person in the city, and why he waits."""
        is_lost = person.ref in self._linked
        same_id = self._by_person_id.get(person_id_key(person.person_id) or "", []) if is_lost else []
        found, reason = (same_id, LINK_LOST) if same_id else self._by_names(person, holders)
        return found, LINK_LOST if is_lost else reason

    def _by_names(self, person: Person, holders: Mapping[int, str]) -> tuple[list[CityPupil], str]:
        """Return namesakes in the city, of the same class if there are any, else who is spelled nearly so."""
        key = name_key(person.last_name, person.first_name)
        namesakes = [
            pupil
            for pupil in (self._by_name.get(key, []) if key else [])
            if same(person.birth_on, pupil.birth_on) != "differs"
        ]
        namesakes = self._unrefused(person, namesakes)
        if not namesakes:
            near = [one for one in self._near(person) if one.id not in holders][:MOST_NEAR_COUNT]
            return near, NOT_LINKED if len(near) == 1 else AMBIGUOUS_LINK if near else NO_CANDIDATE
        namesakes = [one for one in namesakes if _class(person, one) != "differs"] or namesakes
        free = [one for one in namesakes if one.id not in holders]
        if not free:
            return namesakes, AMBIGUOUS_LINK
        return free, NOT_LINKED if len(free) == 1 else AMBIGUOUS_LINK

    def _near(self, person: Person) -> list[CityPupil]:
        key = name_key(person.last_name, person.first_name)
        spelled = find_near(key, self._names) if key is not None else []
        alike = [pupil for name in spelled for pupil in self._by_name[name]]
        return self._unrefused(person, (one for one in alike if same(person.birth_on, one.birth_on) != "differs"))

    def _unrefused(self, person: Person, pupils: Iterable[CityPupil]) -> list[CityPupil]:
        """Leave out whom a person refused, as long as neither side says anything new of itself."""
        return [one for one in pupils if self._rejected.get((person.ref, one.id)) != fingerprint(person, one)]

    def _offer(self, person: Person, pupils: Iterable[CityPupil], reason: str) -> list[Candidate]:
        return [self._candidate(person, pupil, reason) for pupil in self._unrefused(person, pupils)]

    def _candidate(self, person: Person, pupil: CityPupil, reason: str) -> Candidate:
        evidence = compare(person, pupil, groups=self._overlap_of(person.ref, pupil.id))
        return Candidate(
            local_ref=person.ref, city_id=pupil.id, reason=reason, score=score_of(evidence), evidence=evidence
        )


def _contradicts(person: Person, pupil: CityPupil) -> bool:
    """Whether name or person id speak against a link that was made by the person id."""
    ids = same(person_id_key(person.person_id), person_id_key(pupil.person_id))
    return ids == "differs" or names_differ(person, pupil)


def _class(person: Person, pupil: CityPupil) -> str:
    return same(class_key(person.class_name), class_key(pupil.class_name))


__all__ = ["Overlap", "correlate_people"]
