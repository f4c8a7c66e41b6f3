"""Exercises with friendly numbers, made from a seed; answers graded by computing what misconceptions give."""

from pellucid.lessons.practice.exercise import Exercise, Mistake, Question
from pellucid.lessons.practice.grading import Answer, Graded, grade, read_answers
from pellucid.lessons.practice.kinds import kinds, make
from pellucid.lessons.practice.sheet import feedback, sheet

__all__ = [
    "Answer", "Exercise", "Graded", "Mistake", "Question",
    "feedback", "grade", "kinds", "make", "read_answers", "sheet",
]  # fmt: skip
