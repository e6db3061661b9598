"""`label_drift(attribute_name, days)` in SQL: how far label shares of an attribute have moved.

The population stability index of segments that came to the lake in the last `days` days against
those of the `days` days before: the sum over labels of (p - q) ln(p / q), p and q being a label's
shares then and before. That is the Kullback-Leibler divergence both ways (Jeffreys, 1946); as an
index of stability: Siddiqi, Credit Risk Scorecards, 2006; its distribution: Yurdakul, Statistical
Properties of Population Stability Index, Western Michigan University, 2018.

Unsure is a label like the others. Labels are those of `speech`: when they are made anew, it is for
both spans, so that speech is compared and not labellers. A label that one span lacks would make the
index infinite: half a segment is added to each count of both (labels that both lack have no part
in it). NULL where either span has no segment; an error where no taxonomy has had the attribute, or
days are not more than 0: a watch of it would be silent for ever. By chance alone it comes to about
(labels - 1)(1/n + 1/m) for n and m segments (Yurdakul; simulated with the halves: 3 to 10 % less).
Knows nothing of watches.
"""

from collections.abc import Sequence

# The parameters are no attribute's name: a macro would take them for its column. Compared as it is,
# not joined, it leaves the other attributes' parts of labels_long out of the plan.
_MACRO = """
CREATE MACRO label_drift(_attribute, _days) AS (
  WITH came AS (
    SELECT s.segment_id, epoch(now()) - epoch(min(l.committed_at)) AS age_s
    FROM segments s JOIN runs l ON l.chunk_id = s.chunk_id GROUP BY s.segment_id),
  counted AS (
    SELECT count(*) FILTER (c.age_s < _days * 86400) AS n,
           count(*) FILTER (c.age_s >= _days * 86400) AS m
    FROM labels_long v JOIN came c ON c.segment_id = v.segment_id
    WHERE v.attribute = _attribute AND c.age_s < 2 * _days * 86400
    GROUP BY v.label),
  shares AS (
    SELECT (n + 0.5) / sum(n + 0.5) OVER () AS p, (m + 0.5) / sum(m + 0.5) OVER () AS q,
           sum(n) OVER () AS after, sum(m) OVER () AS before
    FROM counted)
  SELECT CASE WHEN {wrong}
              THEN error('label_drift(' || _attribute || ', ' || _days || '): expected {wanted}')
              WHEN min(after) > 0 AND min(before) > 0
              THEN sum((p - q) * ln(p / q))::DOUBLE END FROM shares)
"""


def label_drift(attributes: Sequence[str]) -> str:
    """SQL that makes the macro, for labels of these attributes."""
    names = [name.replace("'", "''") for name in attributes]
    listed = ", ".join(f"'{name}'" for name in names)
    unknown = f"_attribute NOT IN ({listed}) OR " if names else ""
    wanted = f"one of {', '.join(names) or 'the attributes'}, and more than 0 days"
    return _MACRO.format(wrong=f"{unknown}_days <= 0", wanted=wanted)
