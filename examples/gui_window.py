"""Classify a slide behind a window that never freezes: work in one thread, widgets in another.

python examples/gui_window.py case.svs results [--model her2-int8.tflite] [--mpp 0.25] [--close]
"""

import argparse
import queue
import threading
import tkinter as tk

import her2edge as he


def work(given: argparse.Namespace, news: queue.Queue[str | None]) -> None:
    """In a thread of its own. It touches no widget: what it has to say goes into `news`, None at the end."""

    def progress(done: int, total: int) -> None:
        news.put(f"{done} of {total} tiles")

    try:
        model = he.Model.load(given.model) if given.model else he.Model.demo()
        classifier = he.TileClassifier(model)
        run = he.classify_slide(given.slide, given.out, classifier, mpp=given.mpp, progress=progress)
        news.put(f"{run.name}: {run.answer.status} {' or '.join(run.answer.labels)}")
    except he.Her2EdgeError as error:
        news.put(str(error))  # one line: what was found, what was expected, what to do
    news.put(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Research use only.")
    parser.add_argument("slide")
    parser.add_argument("out")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--close", action="store_true", help="close the window at the end")
    given = parser.parse_args()
    window, news = tk.Tk(), queue.Queue[str | None]()
    label = tk.Label(window, text="starting ...", width=60)
    label.pack()

    def look() -> None:
        """In the window's thread, twenty times a second."""
        while not news.empty():
            line = news.get()
            label["text"] = line or label["text"]
            if line is None and given.close:
                print(label["text"])
                window.destroy()
                return
        window.after(50, look)

    # daemon: closing the window ends the program, and the same call resumes the slide
    threading.Thread(target=work, args=(given, news), daemon=True).start()
    look()
    window.mainloop()


if __name__ == "__main__":
    main()
