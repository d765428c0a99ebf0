"""Networks of supervised methods: a reference and an edit -> one feature in the gallery's space. One method a file."""
