"""What the judge promises, measured: releases drawn by seed whose version is no worse, or worse by
so much, and the table of requests that docs/explanation/judging.md shows."""
