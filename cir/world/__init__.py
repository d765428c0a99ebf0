"""The illustrated world that the embedded models know: scenes, their pictures, captions and edits.

Everything here is drawn from seeds, so no data set is shipped or fetched: a scene is a value, and its
picture, its captions and the edits that lead from it to another scene are functions of that value.
"""
