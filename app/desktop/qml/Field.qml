// A line to type in.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

TextField {
    id: field
    property string name: placeholderText
    implicitHeight: Theme.control
    leftPadding: Theme.spacing
    rightPadding: Theme.spacing
    topPadding: 0
    bottomPadding: 0
    verticalAlignment: TextInput.AlignVCenter
    font.pixelSize: Theme.fontSize
    color: Theme.text
    placeholderTextColor: Theme.muted
    selectionColor: Theme.selection
    selectedTextColor: Theme.text
    selectByMouse: true
    Accessible.name: name
    background: Rectangle {
        radius: Theme.radius * 0.7
        color: Theme.field
        border.width: field.activeFocus ? 2 : 1
        border.color: field.activeFocus ? Theme.accent : Theme.border
    }
    EditMenu { edit: field }
}
