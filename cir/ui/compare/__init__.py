"""The Compare tab: one query by several methods, and the weights that would find the picture that was meant.

`handlers` says what happens, `render` puts it into HTML, `layout` and `events` put it on the page.
"""
