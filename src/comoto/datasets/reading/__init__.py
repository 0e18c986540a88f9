"""What readers of data sets share: tables, boxes, words for views, names of files, options, the walk."""
