"""python3 -m gpt2 [MODEL] [PROMPT]: writes a text and says what may come next."""
import json
import sys

from . import Error, Model, likeliest


def main(model_path: str = "examples/demo-model", prompt: str = "Once upon a time") -> None:
    with Model(model_path) as model, model.session() as session:
        print(prompt, end="")
        for piece in session.generate(prompt, n=50, temperature=0.8, top_k=40):
            print(piece, end="", flush=True)
        print("\n\nAfter this may come")
        for token, probability in likeliest(session.logits(), 5):
            print(f"{probability:8.2%}  {json.dumps(model.decode([token]), ensure_ascii=False)}")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit("usage: python3 -m gpt2 [MODEL] [PROMPT]")
    try:
        main(*sys.argv[1:])
    except (Error, ValueError) as error:
        sys.exit(f"gpt2: {error}")
