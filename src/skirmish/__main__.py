"""`python -m skirmish` prints all maps as a Markdown table."""

from skirmish.maps import table

if __name__ == "__main__":
    print(table())
