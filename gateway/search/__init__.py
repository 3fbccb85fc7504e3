"""Search over jobs: gallery filters (`gallery`), similar photos (`similar`, `vector_index`).

Start with `gallery` or `similar`. Only `vector_index` imports numpy. This folder must not import
routes.
"""
