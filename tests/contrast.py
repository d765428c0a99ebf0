"""How well text can be told from its ground, computed in the browser for all of it that can be seen."""

from __future__ import annotations

# WCAG 2.2, 1.4.3: 4.5 : 1, and 3 : 1 for text from 24 px, or from 18.66 px where it is bold. What is switched off is
# exempt, and so is what stands on a picture.
_FAINT = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = (text.match(/[\\d.]+/g) ?? []).map(Number);
    return text.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = (top, below) => {
    const a = top[3] + below[3] * (1 - top[3]);
    return a ? [...[0, 1, 2].map((i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a), a] : [0, 0, 0, 0];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (item) => {
    let found = [0, 0, 0, 0];
    for (let one = item; one && found[3] < 0.999; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.backgroundImage.includes('url(')) return null;
      found = over(found, parse(style.backgroundColor));
    }
    return over(found, [255, 255, 255, 1]);
  };
  const strength = (item) => {
    let left = 1;
    for (let one = item; one; one = one.parentElement) left *= Number(getComputedStyle(one).opacity);
    return left;
  };
  const exempt = (item) => item.closest('[disabled], [aria-disabled=true], [inert]') || item.closest('label')?.querySelector(':disabled');
  const faint = [];
  const check = (item, colour, below, words) => {
    const style = getComputedStyle(item);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(over([...colour.slice(0, 3), colour[3] * strength(item)], below), below);
    if (found < (large ? 3 : 4.5) - 0.005) {
      const name = item.id ? `#${item.id}` : `${item.tagName.toLowerCase()}.${String(item.className?.baseVal ?? item.className).split(' ')[0]}`;
      faint.push(`${found.toFixed(2)} ${name} in #${item.parentElement?.closest('[id]')?.id}: ${words.trim().slice(0, 40)}`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const item = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !item.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || exempt(item)) continue;
    const box = item.getBoundingClientRect();
    if (box.width < 2 || box.height < 2 || ['SCRIPT', 'STYLE', 'TITLE', 'OPTION'].includes(item.tagName)) continue;
    const style = getComputedStyle(item);
    const inDrawing = item.closest('svg');
    const plate = inDrawing && item.parentElement.querySelector(':scope > rect');
    const below = plate ? parse(getComputedStyle(plate).fill) : ground(item);
    if (below) check(item, parse(inDrawing ? style.fill : style.color), below, walker.currentNode.data);
  }
  for (const field of document.querySelectorAll('input, textarea')) {
    if (!field.checkVisibility({ visibilityProperty: true }) || exempt(field) || ['range', 'checkbox', 'file'].includes(field.type)) continue;
    const below = ground(field);
    if (field.value) check(field, parse(getComputedStyle(field).color), below, field.value);
    else if (field.placeholder) check(field, parse(getComputedStyle(field, '::placeholder').color), below, `placeholder ${field.placeholder}`);
  }
  return [...new Set(faint)];
}"""


def faint_texts(page) -> list[str]:
    """Every text on the screen with too little contrast, with its ratio; none is as it should be."""
    page.evaluate(
        "document.getAnimations().forEach((one) => one.finish && one.effect?.getTiming().iterations !== Infinity && one.finish())"
    )
    return page.evaluate(_FAINT)
