"""The explorer: one HTML file in which a class steps through forward and backward pass, call by call.

`facts` turns a graph into plain facts, `arrays` packs its numbers, `numbers` puts them into the rules,
`snapshots` collects them over a training, and `page` puts it all into one file with page.html, .css and .js.
"""

from .page import explore, page
from .snapshots import Snapshots

__all__ = ["Snapshots", "explore", "page"]
