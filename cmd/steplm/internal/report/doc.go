// Package report shows what runs came to: their table as STEP's paper has it, with paired differences over seeds, and
// their curves, memory, learning rates and recipes, as one page that needs nothing beside itself, as Markdown and CSV.
//
// What is read, grouped and computed here is shown by both the page and the Markdown; the page's script draws and looks
// up, and computes nothing of its own. Charts are drawn by uPlot, which lies in page/uplot with its licence.
//
// What Go cannot enforce: that whatever came from a run's folder, names above all, reaches the page through the
// template's escaping or as text of an element, never as markup.
package report
