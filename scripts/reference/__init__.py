"""What a space file may hold, told from the declarations: a page for people, a JSON Schema for editors."""
