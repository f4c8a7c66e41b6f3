"""What an explanation looks like: text, terminal, LaTeX, MathML, speech, JSON and HTML, from one document."""
