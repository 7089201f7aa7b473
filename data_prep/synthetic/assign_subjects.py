"""Who shows what in a release: clips dealt to subjects by rule, as unevenly as in the databases."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence


def interleaved(counts: Mapping[str, int]) -> list[str]:
    """Returns every name as often as it counts, each spread evenly over the whole."""
    places = [((place + 0.5) / count, name) for name, count in counts.items() for place in range(count)]
    return [name for _, name in sorted(places)]


def dealt(counts: Mapping[str, int], subjects: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (subject, name) for every name as often as it counts, by subject.

    Each subject has at least one as long as there are enough; some have several times as many as others.
    """
    names = iter(interleaved(counts))
    return [
        (subject, next(names))
        for subject, share in zip(subjects, _shares(sum(counts.values()), len(subjects)), strict=True)
        for _ in range(share)
    ]


def titled(
    pairs: Iterable[tuple[str, str]],
    titles: Callable[[str, str], Iterator[str]],
    taken: Collection[tuple[str, str]] = (),
) -> list[tuple[str, str, str]]:
    """Gives each (subject, name) a clip's title: (subject, title, name).

    Args:
      pairs: what `dealt` returns.
      titles: of (subject, name), without end.
      taken: (subject, title) of clips that exist already.
    """
    taken, found = set(taken), []
    for subject, name in pairs:
        title = next(title for title in titles(subject, name) if (subject, title) not in taken)
        taken.add((subject, title))
        found.append((subject, title, name))
    return found


def _shares(total: int, people: int) -> list[int]:
    # The step visits every place, since no release has a multiple of five subjects.
    weights = [(1 + (5 * person + people // 2) % people) ** -0.5 for person in range(people)]
    shares = [int(person < total) for person in range(people)]
    for _ in range(total - sum(shares)):
        neediest = max(range(people), key=lambda person: weights[person] / (1 + shares[person]))
        shares[neediest] += 1
    return shares
