import QtQuick
import QtQuick.Controls.Basic
import Olivine

Menu {
    id: menu
    padding: Theme.spacing * 0.5
    background: Rectangle {
        implicitWidth: 210 * Theme.zoom
        color: Theme.field
        border.color: Theme.border
        radius: Theme.radius
    }
}
