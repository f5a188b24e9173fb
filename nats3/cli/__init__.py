"""The command line. It talks to a server over HTTP and imports none of its code."""
