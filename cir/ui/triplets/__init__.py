"""The tab that shows synthetic triplets, how they came about, and lets a person judge them.

`cards` says what is shown; `handlers` do what is done; `render`, `funnel` and `group` write the HTML; `layout` and
`events` are the only ones that know gradio, and are loaded with the page.
"""
