"""The web pages: Jinja templates, JavaScript modules and styles. No build step.

Start with `render` (Python), `upload.js` (the upload page) or `gallery.js` (the gallery). `shell/`
holds the parts that all pages share (docs/adding-a-page.md). This folder must not import other
folders of the gateway.
"""
