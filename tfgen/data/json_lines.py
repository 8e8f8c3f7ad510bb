"""Files of JSON lines: dialogues, drawings and texts, told apart by their first line."""

from tfgen.data import registry
from tfgen.data.dataset import PARTS, Data, DataError
from tfgen.data.dialogues import folder_of_dialogues
from tfgen.data.folder import Listing
from tfgen.data.reading import read_json_lines
from tfgen.data.strokes import lines_of_strokes
from tfgen.data.text import class_note, texts_data


@registry.folder(".jsonl", ".ndjson")
def folder_of_json_lines(listing: Listing, request: registry.Request) -> Data:
    """Drawings where the first line has "strokes", texts where it has "text" alone, dialogues otherwise."""
    lines = read_json_lines(listing.paths[0], request.encoding, "file")
    first = lines[0][1] if lines else {}
    if "strokes" in first:
        return lines_of_strokes(listing, request)
    if "text" in first and not {"turns", "messages", "conversations"} & first.keys():
        return _texts(listing, request)
    return folder_of_dialogues(listing, request)


def _texts(listing: Listing, request: registry.Request) -> Data:
    parts = {part: [] for part in PARTS}
    for number, path in enumerate(listing.paths):
        part = "train" if listing.split is None else str(listing.split[number])
        for line, value in read_json_lines(path, request.encoding, "file"):
            if not isinstance(value.get("text"), str):
                raise DataError(f'line {line} of {path} has no text: write {{"text": "..."}} on each line')
            parts[part].append(value["text"])
    return texts_data(request, parts, [*listing.notes, *class_note(listing)])
