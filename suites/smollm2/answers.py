"""Is the right answer in the text? What the task sciq_answer is scored by."""


def contains(doc, results):
    """Return 1 where the right choice stands in the text, whatever the case."""
    right = doc["choices"][doc["gold"]].lower()
    return {"contains": float(right in results[0].lower())}
