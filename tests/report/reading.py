"""What a page holds: its figures, as its script will see them."""

import base64
import gzip
import json
import re

PACKED = re.compile(r'<script type="application/gzip" id="figures">(.*?)</script>')


def figures_in(html):
    """Return the figures of a page by name."""
    return json.loads(unpacked(html))


def unpacked(html):
    """Return the figures of a page as the text of their JSON."""
    return gzip.decompress(base64.b64decode(PACKED.search(html)[1])).decode()
