"""Steps that the stages and a study share: read the tables of a run, train on them, and trade the test blocks."""
