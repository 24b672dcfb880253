"""The browser console as it is served: the built files, their policy, and where they are not the answer."""
