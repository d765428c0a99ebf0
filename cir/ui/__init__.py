"""The page: the only part that knows gradio.

`layout` says where things stand, `view` which event calls which handler, `handlers` what happens then;
`reading` checks what arrives, `render` puts answers into HTML, `programs` is what programs may call.
"""

from cir.ui.quick_import import leave_out_stubs

leave_out_stubs()  # here, because this runs before any module of the page imports gradio
