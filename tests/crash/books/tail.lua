-- Loaded by a computed require, so it is pinned when it is loaded.
return { word = "tail" }
