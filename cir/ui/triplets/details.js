// Runs once for the details of a triplet: an arrow of the group leads to its triplet, by mouse and by keyboard.
const follow = (event) => {
  const edge = event.target.closest('[data-triplet]');
  if (!edge) return;
  event.preventDefault();
  trigger('pick', { triplet: edge.dataset.triplet });
};
element.addEventListener('click', follow);
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') follow(event);
});
