"""`make bench`: the figures that the README's promises are held to, each beside a baseline in the same run."""

from benchmarks import outgoing

if __name__ == "__main__":
    outgoing.main(10_000)
