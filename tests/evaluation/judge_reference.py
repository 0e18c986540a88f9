"""What stands beside the challenge's metric once more: slow and literal, rows are dicts.

Only the curve is shared with the other literal reference, and nothing with comoto.evaluation.
"""

import math

from challenge_reference import _key, _sensitivities

CPM_FPS = [1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0]


def center(row):
    return (row["X"] + row["Width"] / 2, row["Y"] + row["Height"] / 2, row["Z"] + row["Depth"] / 2)


def slices_of(row, boxes):
    return next((box["VolumeSlices"] for box in boxes if _key(box) == _key(row)), None)


def hit(prediction, boxes, tolerance, *, in_plane=False):
    """The nearest box within its radius and so many slices; distances in the plane alone if asked for."""
    x, y, z = center(prediction)
    nearest, best = None, math.inf
    for number, box in enumerate(boxes):
        if _key(box) != _key(prediction):
            continue
        dx, dy = x - (box["X"] + box["Width"] / 2), y - (box["Y"] + box["Height"] / 2)
        dz = 0.0 if in_plane else z - box["Slice"]
        radius = max(math.sqrt(box["Width"] ** 2 + box["Height"] ** 2) / 2, 100)
        if math.sqrt(dx * dx + dy * dy) > radius or abs(dz) > tolerance(prediction, boxes):
            continue
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        if distance < best:
            nearest, best = number, distance
    return nearest


def by_quarter(prediction, boxes):
    return hit(prediction, boxes, lambda row, boxes: slices_of(row, boxes) / 4)


def in_plane(prediction, boxes):
    return hit(prediction, boxes, lambda row, boxes: math.inf, in_plane=True)


def at_constant_depth(share, then=by_quarter):
    def rule(prediction, boxes):
        slices = slices_of(prediction, boxes)
        if slices is None:
            return None
        return then({**prediction, "Z": share * slices, "Depth": 0}, boxes)

    return rule


def within(millimetres, slice_mm):
    return lambda prediction, boxes: hit(prediction, boxes, lambda row, boxes: millimetres / slice_mm)


def depth_errors(predictions, boxes):
    """By how many slices the best scored detection that meets a box in the plane is off, of each met box."""
    best = {}
    for row in predictions:
        number = None if math.isnan(row["Score"]) else in_plane(row, boxes)
        if number is not None and (number not in best or row["Score"] >= best[number][0]):
            best[number] = row["Score"], abs(center(row)[2] - boxes[number]["Slice"])
    return [error for _, error in best.values()]


def all_volumes(predictions, labels, boxes):
    """The sensitivities at the rates of the CPM, and their mean."""
    rows = [(row, by_quarter(row, boxes)) for row in predictions if not math.isnan(row["Score"])]
    scores = [row["Score"] for row, _ in rows]
    thresholds = [row["Score"] for row, number in rows if number is not None]
    thresholds += [max(scores) + 1.0, min(scores) - 1.0] if scores else []
    values = _sensitivities(rows, sorted(thresholds, reverse=True), len(boxes), len(labels), CPM_FPS)
    return [*values, sum(values) / len(values)]


def area(positive, negative):
    """Pairs won, of weighted positives, by the weight of all pairs; ties count half."""
    if not positive or not negative:
        return math.nan
    won = sum(
        weight * ((score > other) + 0.5 * (score == other))
        for score, weight in positive
        for other in negative
    )
    return won / (sum(weight for _, weight in positive) * len(negative))


def unit_area(predictions, labels, boxes, unit):
    """Units are what ``unit`` makes of a volume's row."""
    largest = {unit(row): -math.inf for row in labels}
    known = {_key(row): unit(row) for row in labels}
    for row in predictions:
        if _key(row) in known and not math.isnan(row["Score"]):
            largest[known[_key(row)]] = max(largest[known[_key(row)]], row["Score"])
    ill = {known[_key(box)] for box in boxes}
    return area(
        [(score, 1.0) for name, score in largest.items() if name in ill],
        [score for name, score in largest.items() if name not in ill],
    )


def wafroc(predictions, labels, boxes):
    best = [-math.inf] * len(boxes)
    highest = {_key(row): -math.inf for row in labels}
    for row in predictions:
        if math.isnan(row["Score"]):
            continue
        number = by_quarter(row, boxes)
        if number is not None:
            best[number] = max(best[number], row["Score"])
        elif _key(row) in highest:
            highest[_key(row)] = max(highest[_key(row)], row["Score"])
    on_volume = [sum(_key(other) == _key(box) for other in boxes) for box in boxes]
    ill = {_key(box) for box in boxes}
    return area(
        [(score, 1.0 / number) for score, number in zip(best, on_volume, strict=True)],
        [score for name, score in highest.items() if name not in ill],
    )
