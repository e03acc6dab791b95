"""The work pool's worker: Prefect's own for processes, whose processes start warm.

Nothing of the house is imported here: the code of a run is what its deployment says, which may be an older commit.
"""
