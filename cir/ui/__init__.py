"""The page: the only part that knows gradio.

A folder for each tab, with the same names in each: `layout` says where things stand, `events` which event calls which
handler, `handlers` what happens then, `render` puts answers into HTML. `page` has the nouns that tabs share, `view` joins
the tabs, `reading` checks what arrives; `server` serves the page, and answers programs and assistants.
"""
