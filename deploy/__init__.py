"""What an installation needs beside the code: Exim's configuration, the embedded broker's pinned jars."""
