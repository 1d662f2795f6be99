"""The parts of a report that only an isoFLOP study has: best sizes, their laws, and the losses."""
