"""The challenge's metric once more: slow, literal, plain Python, written from the behaviour table only.

Rows are dicts. Nothing is shared with comoto.evaluation, so equality with it means something.
"""

import math


def reference_metric(predictions, labels, boxes, hit_of=None):
    """The six metrics; ``hit_of(prediction, boxes)`` may be another rule of what is hit."""
    predictions = [row for row in predictions if not math.isnan(row["Score"])]
    hits = [(hit_of or _hit)(row, boxes) for row in predictions]
    scores = [row["Score"] for row in predictions]
    thresholds = []
    if scores:
        thresholds = [max(scores) + 1.0, min(scores) - 1.0]
        thresholds += [score for score, hit in zip(scores, hits, strict=True) if hit is not None]
        thresholds.sort(reverse=True)
    rows = list(zip(predictions, hits, strict=True))

    metric = {"sensitivity_at_2_fps_all": _sensitivities(rows, thresholds, len(boxes), len(labels), [2.0])[0]}
    boxed = {_key(box) for box in boxes}
    rows = [(row, hit) for row, hit in rows if _key(row) in boxed]
    volumes = [row for row in labels if _key(row) in boxed]
    values = _sensitivities(rows, thresholds, len(boxes), len(volumes), [1.0, 2.0, 3.0, 4.0])
    for number, value in enumerate(values, start=1):
        metric[f"sensitivity_at_{number}_fps_positive"] = value
    metric["mean_sensitivity_positive"] = (values[0] + values[1] + values[2] + values[3]) / 4
    return metric


def _key(row):
    return row["StudyUID"], row["View"]


def _hit(prediction, boxes):
    """Return the row number of the box that a prediction hits, or None."""
    x = prediction["X"] + prediction["Width"] / 2
    y = prediction["Y"] + prediction["Height"] / 2
    z = prediction["Z"] + prediction["Depth"] / 2
    of_view = [(number, box) for number, box in enumerate(boxes) if _key(box) == _key(prediction)]
    nearest, nearest_distance = None, math.inf
    for number, box in of_view:
        slices = of_view[0][1]["VolumeSlices"]
        dx = x - (box["X"] + box["Width"] / 2)
        dy = y - (box["Y"] + box["Height"] / 2)
        dz = z - box["Slice"]
        radius = max(math.sqrt(box["Width"] ** 2 + box["Height"] ** 2) / 2, 100)
        if math.sqrt(dx * dx + dy * dy) > radius or abs(dz) > slices / 4:
            continue
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        if distance < nearest_distance:
            nearest, nearest_distance = number, distance
    return nearest


def _sensitivities(rows, thresholds, num_boxes, num_volumes, wanted):
    curve = []
    for threshold in thresholds:
        found, false_positives = set(), 0
        for row, hit in rows:
            if row["Score"] >= threshold:
                if hit is None:
                    false_positives += 1
                else:
                    found.add(hit)
        curve.append((false_positives / num_volumes, len(found) / num_boxes))
        if curve[-1][0] > max(wanted):
            break
    return [_read(curve, rate) for rate in wanted]


def _read(curve, rate):
    """Linear interpolation; the last point of equal rates counts, and the ends are held."""
    if not curve:
        return 0.0
    if rate < curve[0][0]:
        return curve[0][1]
    at = max(place for place, (fps, _) in enumerate(curve) if fps <= rate)
    if at == len(curve) - 1:
        return curve[at][1]
    (low_fps, low), (high_fps, high) = curve[at], curve[at + 1]
    return (high - low) / (high_fps - low_fps) * (rate - low_fps) + low
